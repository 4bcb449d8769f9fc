# Target tracking looks at custom metrics once a minute; so the fast way up is step scaling on alarms of 10 s.
locals {
  scaling = var.settings.autoscaling
  # Fewer calls than this make an agent superfluous. Far enough below the target, or agents would come and go.
  quiet_calls = 0.6 * local.scaling.target_calls
}

resource "aws_appautoscaling_target" "this" {
  region             = var.region
  service_namespace  = "ecs"
  resource_id        = "service/${module.service.cluster_name}/${module.service.service_name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = local.scaling.min
  max_capacity       = local.scaling.max
}

resource "aws_appautoscaling_policy" "up" {
  region             = var.region
  name               = "calls-up"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type          = "PercentChangeInCapacity"
    metric_aggregation_type  = "Average"
    min_adjustment_magnitude = 1
    cooldown                 = local.scaling.scale_up_window

    # At the target, a third above it, two thirds above it: as many more agents as bring the mean back.
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = local.scaling.target_calls / 3
      scaling_adjustment          = 34
    }
    step_adjustment {
      metric_interval_lower_bound = local.scaling.target_calls / 3
      metric_interval_upper_bound = local.scaling.target_calls * 2 / 3
      scaling_adjustment          = 67
    }
    step_adjustment {
      metric_interval_lower_bound = local.scaling.target_calls * 2 / 3
      scaling_adjustment          = 100
    }
  }
}

resource "aws_appautoscaling_policy" "down" {
  region             = var.region
  name               = "calls-down"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Average"
    cooldown                = local.scaling.scale_down_window

    step_adjustment {
      metric_interval_upper_bound = 0
      scaling_adjustment          = -1
    }
  }
}

# A net under the other: whatever costs CPU, calls or not, brings more agents.
resource "aws_appautoscaling_policy" "cpu" {
  region             = var.region
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  resource_id        = aws_appautoscaling_target.this.resource_id
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = 70
    disable_scale_in   = true
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "calls_high" {
  region              = var.region
  alarm_name          = "${local.name}-calls-high"
  alarm_description   = "More than ${local.scaling.target_calls} calls per agent: agents are added."
  namespace           = "Warmline"
  metric_name         = "active_calls"
  dimensions          = { Region = var.region }
  statistic           = "Average"
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.scaling.target_calls
  period              = 10
  evaluation_periods  = local.scaling.scale_up_window / 10
  # Silence is told by the alarm no-metrics; it is no reason to scale.
  treat_missing_data = "missing"
  alarm_actions      = [aws_appautoscaling_policy.up.arn]
}

resource "aws_cloudwatch_metric_alarm" "calls_low" {
  region              = var.region
  alarm_name          = "${local.name}-calls-low"
  alarm_description   = "Fewer than ${local.quiet_calls} calls per agent: agents that are in no call are taken away, one at a time."
  namespace           = "Warmline"
  metric_name         = "active_calls"
  dimensions          = { Region = var.region }
  statistic           = "Average"
  comparison_operator = "LessThanThreshold"
  threshold           = local.quiet_calls
  period              = 60
  evaluation_periods  = local.scaling.scale_down_window / 60
  treat_missing_data  = "missing"
  alarm_actions       = [aws_appautoscaling_policy.down.arn]
}
