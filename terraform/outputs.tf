output "voice_webhook_url" {
  description = "Set the numbers' voice webhook to this."
  value       = "https://${local.edge_host}/twilio/voice"
}

output "status_callback_url" {
  description = "Set the numbers' status callback to this."
  value       = "https://${local.edge_host}/twilio/status"
}

output "voice_fallback_url" {
  description = "Set the numbers' fallback URL to this: an edge as far from the first one as there is."
  value       = "https://${reverse(values(local.edge_hosts[reverse(keys(var.edges))[0]]))[0]}/twilio/voice"
}

output "edge_hosts" {
  description = "Where each edge is reached, by name."
  value       = merge(values(local.edge_hosts)...)
}

output "agent_endpoints" {
  description = "Where edges begin to look for agents, by region."
  value       = { for key, host in local.agent_hosts : key => "${host}:${local.link_port}" }
}

output "config" {
  description = "The configuration file of the whole deployment, for `warmline pki` and `warmline doctor`."
  value = templatefile("${path.module}/templates/warmline.toml.tftpl", {
    voices      = var.voices
    link_port   = local.link_port
    agent_hosts = local.agent_hosts
    edge_hosts  = local.edge_hosts
    coordinates = local.coordinates
  })
}

output "deployment" {
  description = "What put_secrets.py needs to know: the services, and where their secrets and stores are."
  value = {
    name          = var.name
    agent_secrets = sort(var.agent_secrets)
    agents        = { for key, agent in module.agent : key => agent.deployment }
    edges         = merge(values(module.edge)[*].deployments...)
  }
}

output "dashboards" {
  description = "Names of the dashboards, by AWS region; `global` shows all."
  value       = merge({ for key, place in module.observability : key => place.dashboard_name }, { global = var.name })
}
