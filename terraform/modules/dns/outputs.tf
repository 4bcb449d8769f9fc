output "health_check_ids" {
  description = "Route 53 health checks, by edge."
  value       = { for key, check in aws_route53_health_check.edge : key => check.id }
}
