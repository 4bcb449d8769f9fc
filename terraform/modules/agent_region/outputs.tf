locals {
  cluster = ["ClusterName", module.service.cluster_name, "ServiceName", module.service.service_name]
}

output "balancer" {
  description = "The load balancer, for a DNS alias."
  value       = { dns_name = aws_lb.links.dns_name, zone_id = aws_lb.links.zone_id }
}

output "serious_alarms" {
  description = "Names of the alarms for which somebody should get up."
  value       = [for key, alarm in local.alarms : aws_cloudwatch_metric_alarm.this[key].alarm_name if alarm.serious]
}

output "deployment" {
  description = "What put_secrets.py needs to know."
  value = merge(module.service.deployment, {
    redis_group    = aws_elasticache_replication_group.this.id
    redis_endpoint = aws_elasticache_replication_group.this.primary_endpoint_address
  })
}

output "widgets" {
  description = "Graphs for the region's dashboard: titles and metrics."
  value = [
    {
      title = "Agents: calls in progress, mean of an agent and all"
      metrics = jsonencode([
        ["Warmline", "active_calls", "Region", var.region, { stat = "Average", period = 10, label = "per agent" }],
        concat(["ECS/ContainerInsights", "RunningTaskCount"], local.cluster, [{ stat = "Average", label = "agents", yAxis = "right" }]),
      ])
    },
    {
      title = "Agents: getting a warm session, first audio of the model (s, p95)"
      metrics = jsonencode([
        ["Warmline", "session_acquire_seconds", "Region", var.region, { stat = "p95", label = "warm session" }],
        ["Warmline", "first_audio_seconds", "Region", var.region, { stat = "p95", label = "first audio", yAxis = "right" }],
      ])
    },
    {
      title = "Agents: profiles without a warm session, failed opens"
      metrics = jsonencode([
        ["Warmline", "profiles_without_stock", "Region", var.region, { stat = "Maximum", label = "without stock" }],
        ["Warmline", "session_open_failures", "Region", var.region, { stat = "Sum", label = "failed opens", yAxis = "right" }],
      ])
    },
    {
      title = "Agents: CPU and memory (%)"
      metrics = jsonencode([
        concat(["AWS/ECS", "CPUUtilization"], local.cluster, [{ stat = "Maximum", label = "CPU" }]),
        concat(["AWS/ECS", "MemoryUtilization"], local.cluster, [{ stat = "Maximum", label = "memory" }]),
      ])
    },
  ]
}
