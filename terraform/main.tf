locals {
  edge_host   = "edge.${var.domain}"
  agent_hosts = { for key in keys(var.regions) : key => "${key}.agents.${var.domain}" }

  # Every edge is one process; it has a name and a host of its own.
  edge_hosts = {
    for region, place in var.edges : region => {
      for number in range(1, place.edges + 1) : "${region}-${number}" => "${region}-${number}.${local.edge_host}"
    }
  }

  edges = merge([for region, hosts in local.edge_hosts : { for name in keys(hosts) : name => region }]...)

  agent_regions = {
    for key, edge in var.edges : key => length(edge.agent_regions) > 0 ? sort(edge.agent_regions) : keys(var.regions)
  }

  places    = distinct(concat(keys(var.regions), keys(var.edges)))
  link_port = 443
}

# An alarm tells a topic of its own AWS region. What DNS thinks of the edges is measured in us-east-1 only.
module "alarm_topic" {
  source   = "./modules/alarm_topic"
  for_each = toset(concat(local.places, ["us-east-1"]))

  region = each.key
  name   = var.name
  emails = var.alarms.emails
}

module "agent" {
  source   = "./modules/agent_region"
  for_each = var.regions

  region    = each.key
  name      = var.name
  image     = var.image
  settings  = each.value
  link_port = local.link_port
  config = templatefile("${path.module}/templates/warmline.toml.tftpl", {
    voices      = var.voices
    link_port   = local.link_port
    agent_hosts = { (each.key) = local.agent_hosts[each.key] }
    edge_hosts  = {}
    coordinates = local.coordinates
  })

  alarm_topic_arn     = module.alarm_topic[each.key].arn
  alarms              = var.alarms
  collector_image     = var.collector_image
  cpu_architecture    = var.cpu_architecture
  deletion_protection = var.deletion_protection
  log_retention_days  = var.log_retention_days
  secret_names        = var.agent_secrets
  recording_buckets   = var.recording_buckets
}

module "edge" {
  source   = "./modules/edge"
  for_each = var.edges

  region      = each.key
  name        = var.name
  image       = var.image
  settings    = each.value
  zone_id     = var.zone_id
  shared_host = local.edge_host
  # The record that proves the shared name is the same for all.
  proves_shared_host = each.key == keys(var.edges)[0]
  region_host        = "${each.key}.${local.edge_host}"
  hosts              = local.edge_hosts[each.key]
  config = templatefile("${path.module}/templates/warmline.toml.tftpl", {
    voices      = var.voices
    link_port   = local.link_port
    agent_hosts = { for region in local.agent_regions[each.key] : region => local.agent_hosts[region] }
    # Every edge knows all of them: a call may be answered by one and stream to another.
    edge_hosts  = local.edge_hosts
    coordinates = local.coordinates
  })

  alarm_topic_arn     = module.alarm_topic[each.key].arn
  alarms              = var.alarms
  collector_image     = var.collector_image
  cpu_architecture    = var.cpu_architecture
  deletion_protection = var.deletion_protection
  log_retention_days  = var.log_retention_days
}

module "dns" {
  source = "./modules/dns"

  name            = var.name
  zone_id         = var.zone_id
  edge_host       = local.edge_host
  alarm_topic_arn = module.alarm_topic["us-east-1"].arn
  edges           = { for key, edge in module.edge : key => { host = "${key}.${local.edge_host}", balancer = edge.balancer } }
  edge_hosts      = merge([for region, hosts in local.edge_hosts : { for host in values(hosts) : host => region }]...)
  agents          = { for key, agent in module.agent : key => { host = local.agent_hosts[key], balancer = agent.balancer } }
  accelerator     = one(module.accelerator[*].balancer)
  accelerated     = var.accelerator
}

module "accelerator" {
  source = "./modules/accelerator"
  count  = var.accelerator ? 1 : 0

  name  = var.name
  edges = { for key, edge in module.edge : key => edge.balancer.arn }
}

module "observability" {
  source   = "./modules/observability"
  for_each = toset(local.places)

  region        = each.key
  name          = var.name
  topic_arn     = module.alarm_topic[each.key].arn
  agent_widgets = contains(keys(var.regions), each.key) ? module.agent[each.key].widgets : []
  edge_widgets  = contains(keys(var.edges), each.key) ? module.edge[each.key].widgets : []
  serious_alarms = concat(
    contains(keys(var.regions), each.key) ? module.agent[each.key].serious_alarms : [],
    contains(keys(var.edges), each.key) ? module.edge[each.key].serious_alarms : [],
  )
}

resource "aws_cloudwatch_dashboard" "global" {
  region         = var.home_region
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in [
        {
          title = "Calls in progress, by region of agents"
          metrics = [
            for key in keys(var.regions) : ["Warmline", "active_calls", "Region", key, { region = key, stat = "Average", label = "${key}, per agent" }]
          ]
        },
        {
          title = "Calls in progress, by edge"
          metrics = [
            for name, region in local.edges : ["Warmline", "active_calls", "Edge", name, { region = region, stat = "Average", label = name }]
          ]
        },
        {
          title = "First audio of the model (s, p95)"
          metrics = [
            for key in keys(var.regions) : ["Warmline", "first_audio_seconds", "Region", key, { region = key, stat = "p95", label = key }]
          ]
        },
        {
          title = "First audio as the caller hears it (s, p95)"
          metrics = [
            for name, region in local.edges : ["Warmline", "first_audio_seconds", "Edge", name, { region = region, stat = "p95", label = name }]
          ]
        },
        {
          title = "Profiles without a warm session"
          metrics = [
            for key in keys(var.regions) : ["Warmline", "profiles_without_stock", "Region", key, { region = key, stat = "Maximum", label = key }]
          ]
        },
        {
          title = "Edges as Route 53 sees them (share of checkers that are content)"
          metrics = [
            for key in keys(var.edges) : ["AWS/Route53", "HealthCheckPercentageHealthy", "HealthCheckId", module.dns.health_check_ids[key], { region = "us-east-1", stat = "Minimum", label = key }]
          ]
        },
        ] : {
        type   = "metric"
        x      = index % 2 * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = merge(widget, {
          region = var.home_region
          view   = "timeSeries"
          period = 60
        })
      }
    ]
  })
}
