output "cluster_name" {
  description = "The ECS cluster."
  value       = aws_ecs_cluster.this.name
}

output "service_name" {
  description = "The ECS service."
  value       = aws_ecs_service.this.name
}

output "log_group_name" {
  description = "Where the service logs."
  value       = aws_cloudwatch_log_group.this.name
}

output "deployment" {
  description = "What put_secrets.py needs to know of the service."
  value = {
    region       = var.region
    cluster      = aws_ecs_cluster.this.name
    service      = aws_ecs_service.this.name
    secret       = aws_secretsmanager_secret.this.arn
    secret_names = sort(setunion(local.secret_names, local.link_secrets))
    certificate  = var.certificate
  }
}
