locals {
  own = { Region = var.region }

  # What only this region can tell. One minute each, two of three.
  alarms = {
    acquire-slow = {
      description = "Getting a warm session takes longer than ${var.alarms.acquire_p95_s} s (p95): agents are overloaded."
      namespace   = "Warmline", metric = "session_acquire_seconds", dimensions = local.own
      statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.acquire_p95_s
      silence     = "notBreaching", serious = false
    }
    pool-empty = {
      description = "A profile has no warm session at some agent: calls wait for one to be opened."
      namespace   = "Warmline", metric = "profiles_without_stock", dimensions = local.own
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
    session-opens-failing = {
      description = "Sessions cannot be opened: the model's endpoint refuses or does not answer."
      namespace   = "Warmline", metric = "session_open_failures", dimensions = local.own
      statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 5
      silence     = "notBreaching", serious = true
    }
    first-audio-slow = {
      description = "The model's first audio comes later than ${var.alarms.first_audio_p95_s} s after it was asked (p95)."
      namespace   = "Warmline", metric = "first_audio_seconds", dimensions = local.own
      statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.first_audio_p95_s
      silence     = "notBreaching", serious = false
    }
    no-metrics = {
      description = "Agents have told nothing: none runs, or they cannot reach CloudWatch. They are not scaled meanwhile."
      namespace   = "Warmline", metric = "active_calls", dimensions = local.own
      statistic   = "SampleCount", operator = "LessThanThreshold", threshold = 1
      silence     = "breaching", serious = true
    }
    unhealthy-hosts = {
      description = "The load balancer finds agents that do not answer."
      namespace   = "AWS/NetworkELB", metric = "UnHealthyHostCount"
      dimensions  = { LoadBalancer = aws_lb.links.arn_suffix, TargetGroup = aws_lb_target_group.links.arn_suffix }
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
    at-capacity = {
      description = "There are as many agents as autoscaling.max allows: no more will be added."
      namespace   = "ECS/ContainerInsights", metric = "RunningTaskCount"
      dimensions  = { ClusterName = module.service.cluster_name, ServiceName = module.service.service_name }
      statistic   = "Minimum", operator = "GreaterThanOrEqualToThreshold", threshold = local.scaling.max
      silence     = "notBreaching", serious = false
    }
    redis-memory = {
      description = "The region's store is nearly full."
      namespace   = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage"
      dimensions  = { ReplicationGroupId = aws_elasticache_replication_group.this.id }
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 80
      silence     = "notBreaching", serious = false
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  region              = var.region
  alarm_name          = "${local.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.operator
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = each.value.silence
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
