output "dashboard_name" {
  description = "The region's dashboard."
  value       = aws_cloudwatch_dashboard.region.dashboard_name
}
