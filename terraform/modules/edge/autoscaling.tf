resource "aws_appautoscaling_target" "this" {
  region             = var.region
  service_namespace  = "ecs"
  resource_id        = "service/${module.service.cluster_name}/${module.service.service_name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.settings.autoscaling.min
  max_capacity       = var.settings.autoscaling.max
}

# What an edge does is forward frames: its CPU is the measure of it.
resource "aws_appautoscaling_policy" "cpu" {
  region             = var.region
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
