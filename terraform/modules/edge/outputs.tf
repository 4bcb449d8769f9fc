output "balancer" {
  description = "The load balancer, for a DNS alias or an accelerator."
  value       = { arn = aws_lb.edge.arn, dns_name = aws_lb.edge.dns_name, zone_id = aws_lb.edge.zone_id }
}

output "serious_alarms" {
  description = "Names of the alarms for which somebody should get up."
  value       = [for key, alarm in local.alarms : aws_cloudwatch_metric_alarm.this[key].alarm_name if alarm.serious]
}

output "deployments" {
  description = "What put_secrets.py needs to know, by edge."
  value       = { for edge, service in module.service : edge => service.deployment }
}

# Graphs of one metric each, with a line per edge.
locals {
  graphs = {
    "Edges: calls in progress"                 = { metric = "active_calls", stat = "Average" }
    "Edges: first audio (s, p95)"              = { metric = "first_audio_seconds", stat = "p95" }
    "Edges: voice webhook (s, p95)"            = { metric = "webhook_seconds", stat = "p95" }
    "Edges: getting a link (s, p95)"           = { metric = "link_acquisition_seconds", stat = "p95" }
    "Edges: calls that heard no voice of ours" = { metric = "calls_without_voice", stat = "Sum" }
  }
}

output "widgets" {
  description = "Graphs for the region's dashboard: titles and metrics."
  value = concat(
    [
      for title, graph in local.graphs : {
        title = title
        metrics = jsonencode([
          for edge in keys(var.hosts) : ["Warmline", graph.metric, "Edge", edge, { stat = graph.stat, label = edge }]
        ])
      }
    ],
    [{
      title = "Edges: CPU (%)"
      metrics = jsonencode([
        for edge, service in module.service :
        ["AWS/ECS", "CPUUtilization", "ClusterName", service.cluster_name, "ServiceName", service.service_name, { stat = "Maximum", label = edge }]
      ])
    }],
  )
}
