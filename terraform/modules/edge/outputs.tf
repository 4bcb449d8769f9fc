locals {
  cluster = ["ClusterName", module.service.cluster_name, "ServiceName", module.service.service_name]
}

output "balancer" {
  description = "The load balancer, for a DNS alias or an accelerator."
  value       = { arn = aws_lb.edge.arn, dns_name = aws_lb.edge.dns_name, zone_id = aws_lb.edge.zone_id }
}

output "serious_alarms" {
  description = "Names of the alarms for which somebody should get up."
  value       = [for key, alarm in local.alarms : aws_cloudwatch_metric_alarm.this[key].alarm_name if alarm.serious]
}

output "deployment" {
  description = "What put_secrets.py needs to know."
  value       = module.service.deployment
}

output "widgets" {
  description = "Graphs for the region's dashboard: titles and metrics."
  value = [
    {
      title = "Edges: calls in progress, mean of an edge, and edges"
      metrics = jsonencode([
        ["Warmline", "active_calls", "Edge", var.region, { stat = "Average", period = 10, label = "per edge" }],
        concat(["ECS/ContainerInsights", "RunningTaskCount"], local.cluster, [{ stat = "Average", label = "edges", yAxis = "right" }]),
      ])
    },
    {
      title = "Edges: first audio, voice webhook (s, p95)"
      metrics = jsonencode([
        ["Warmline", "first_audio_seconds", "Edge", var.region, { stat = "p95", label = "first audio" }],
        ["Warmline", "webhook_seconds", "Edge", var.region, { stat = "p95", label = "webhook" }],
      ])
    },
    {
      title = "Edges: getting a link (s, p95), calls without a voice"
      metrics = jsonencode([
        ["Warmline", "link_acquisition_seconds", "Edge", var.region, { stat = "p95", label = "link" }],
        ["Warmline", "calls_without_voice", "Edge", var.region, { stat = "Sum", label = "without a voice", yAxis = "right" }],
      ])
    },
    {
      title = "Edges: CPU and memory (%)"
      metrics = jsonencode([
        concat(["AWS/ECS", "CPUUtilization"], local.cluster, [{ stat = "Maximum", label = "CPU" }]),
        concat(["AWS/ECS", "MemoryUtilization"], local.cluster, [{ stat = "Maximum", label = "memory" }]),
      ])
    },
  ]
}
