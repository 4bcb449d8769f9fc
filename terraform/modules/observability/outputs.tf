output "topic_arn" {
  description = "SNS topic for alarms."
  value       = aws_sns_topic.alarms.arn
}

output "dashboard_name" {
  description = "The region's dashboard; null where nothing runs."
  value       = one(aws_cloudwatch_dashboard.region[*].dashboard_name)
}
