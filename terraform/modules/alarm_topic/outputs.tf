output "arn" {
  description = "SNS topic for alarms."
  value       = aws_sns_topic.alarms.arn
}
