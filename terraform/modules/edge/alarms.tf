locals {
  own      = { Edge = var.region }
  balancer = { LoadBalancer = aws_lb.edge.arn_suffix }

  # One minute each, two of three.
  alarms = {
    acquire-slow = {
      description = "Calls wait longer than ${var.alarms.acquire_p95_s} s for a link (p95): the edge is overloaded."
      namespace   = "Warmline", metric = "link_acquisition_seconds", dimensions = local.own
      statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.acquire_p95_s
      silence     = "notBreaching", serious = false
    }
    first-audio-slow = {
      description = "Callers hear the first audio later than ${var.alarms.first_audio_p95_s} s after their stream starts (p95)."
      namespace   = "Warmline", metric = "first_audio_seconds", dimensions = local.own
      statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.first_audio_p95_s
      silence     = "notBreaching", serious = true
    }
    webhook-slow = {
      description = "The voice webhook takes longer than ${var.alarms.webhook_p95_s} s (p95): callers hear nothing meanwhile."
      namespace   = "Warmline", metric = "webhook_seconds", dimensions = local.own
      statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.webhook_p95_s
      silence     = "notBreaching", serious = false
    }
    calls-without-voice = {
      description = "Callers were told that nobody can answer."
      namespace   = "Warmline", metric = "calls_without_voice", dimensions = local.own
      statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
    no-metrics = {
      description = "Edges have told nothing: none runs, or they cannot reach CloudWatch."
      namespace   = "Warmline", metric = "active_calls", dimensions = local.own
      statistic   = "SampleCount", operator = "LessThanThreshold", threshold = 1
      silence     = "breaching", serious = true
    }
    unhealthy-hosts = {
      description = "The load balancer finds edges that do not answer."
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount"
      dimensions  = merge(local.balancer, { TargetGroup = aws_lb_target_group.this["http"].arn_suffix })
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
    errors = {
      description = "Twilio is answered with errors (5xx), by edges or by the balancer for want of one."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = local.balancer
      statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
    at-capacity = {
      description = "There are as many edges as autoscaling.max allows: no more will be added."
      namespace   = "ECS/ContainerInsights", metric = "RunningTaskCount"
      dimensions  = { ClusterName = module.service.cluster_name, ServiceName = module.service.service_name }
      statistic   = "Minimum", operator = "GreaterThanOrEqualToThreshold", threshold = var.settings.autoscaling.max
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
