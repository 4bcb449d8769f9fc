output "voice_webhook_url" {
  description = "Set the numbers' voice webhook to this."
  value       = "https://${local.edge_host}/twilio/voice"
}

output "status_callback_url" {
  description = "Set the numbers' status callback to this."
  value       = "https://${local.edge_host}/twilio/status"
}

output "edge_hosts" {
  description = "Where Media Streams arrive, by edge."
  value       = local.edge_hosts
}

output "agent_endpoints" {
  description = "Where edges begin to look for agents, by region."
  value       = { for key, host in local.agent_hosts : key => "${host}:${local.link_port}" }
}

output "config" {
  description = "The configuration file of the whole deployment, for `warmline pki` and `warmline doctor`."
  value = templatefile("${path.module}/templates/warmline.toml.tftpl", {
    voices            = var.voices
    link_port         = local.link_port
    agent_hosts       = local.agent_hosts
    edge_host         = local.edge_host
    edge_hosts        = local.edge_hosts
    preferred_regions = local.preferred_regions
  })
}

output "deployment" {
  description = "What put_secrets.py needs to know: the services, and where their secrets and stores are."
  value = {
    name          = var.name
    agent_secrets = sort(var.agent_secrets)
    agents        = { for key, agent in module.agent : key => agent.deployment }
    edges         = { for key, edge in module.edge : key => edge.deployment }
  }
}

output "dashboards" {
  description = "Names of the dashboards, by AWS region; `global` shows all."
  value       = merge({ for key, place in module.observability : key => place.dashboard_name }, { global = var.name })
}
