output "voice_webhook_url" {
  description = "Set the numbers' voice webhook to this."
  value       = module.warmline.voice_webhook_url
}

output "voice_fallback_url" {
  description = "Set the numbers' fallback URL to this."
  value       = module.warmline.voice_fallback_url
}

output "status_callback_url" {
  description = "Set the numbers' status callback to this."
  value       = module.warmline.status_callback_url
}

output "dashboards" {
  description = "Where to look."
  value       = module.warmline.dashboards
}

output "config" {
  description = "For `warmline pki` and `warmline doctor`."
  value       = module.warmline.config
}

output "deployment" {
  description = "For put_secrets.py."
  value       = module.warmline.deployment
}
