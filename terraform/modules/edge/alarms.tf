locals {
  # One minute each, two of three. What only an edge itself can tell, and what the balancer sees of all.
  alarms = merge(merge([
    for edge, part in local.parts : { for key, alarm in {
      acquire-slow = {
        description = "Calls wait longer than ${var.alarms.acquire_p95_s} s for a link (p95): the edge is overloaded."
        namespace   = "Warmline", metric = "link_acquisition_seconds", dimensions = { Edge = edge }
        statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.acquire_p95_s
        silence     = "notBreaching", serious = false
      }
      first-audio-slow = {
        description = "Callers hear the first audio later than ${var.alarms.first_audio_p95_s} s after their stream starts (p95)."
        namespace   = "Warmline", metric = "first_audio_seconds", dimensions = { Edge = edge }
        statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.first_audio_p95_s
        silence     = "notBreaching", serious = true
      }
      webhook-slow = {
        description = "The voice webhook takes longer than ${var.alarms.webhook_p95_s} s (p95): callers hear nothing meanwhile."
        namespace   = "Warmline", metric = "webhook_seconds", dimensions = { Edge = edge }
        statistic   = "p95", operator = "GreaterThanThreshold", threshold = var.alarms.webhook_p95_s
        silence     = "notBreaching", serious = false
      }
      calls-without-voice = {
        description = "Callers were told that nobody can answer."
        namespace   = "Warmline", metric = "calls_without_voice", dimensions = { Edge = edge }
        statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0
        silence     = "notBreaching", serious = true
      }
      no-metrics = {
        description = "The edge has told nothing: it does not run, or cannot reach CloudWatch."
        namespace   = "Warmline", metric = "active_calls", dimensions = { Edge = edge }
        statistic   = "SampleCount", operator = "LessThanThreshold", threshold = 1
        silence     = "breaching", serious = false
      }
      cpu-high = {
        description = "The edge is busy: the place needs another one, or a larger task."
        namespace   = "AWS/ECS", metric = "CPUUtilization"
        dimensions  = { ClusterName = module.service[edge].cluster_name, ServiceName = module.service[edge].service_name }
        statistic   = "Average", operator = "GreaterThanThreshold", threshold = 70
        silence     = "notBreaching", serious = false
      }
    } : "${trimprefix(part, "${local.name}-")}-${key}" => alarm }
    ]...), {
    unhealthy-hosts = {
      description = "The load balancer finds edges that do not answer."
      namespace   = "AWS/ApplicationELB", metric = "UnHealthyHostCount"
      dimensions  = { LoadBalancer = aws_lb.edge.arn_suffix, TargetGroup = aws_lb_target_group.this["calls"].arn_suffix }
      statistic   = "Maximum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
    none-healthy = {
      description = "No edge here answers: Twilio is led to other regions, and calls here are lost."
      namespace   = "AWS/ApplicationELB", metric = "HealthyHostCount"
      dimensions  = { LoadBalancer = aws_lb.edge.arn_suffix, TargetGroup = aws_lb_target_group.this["calls"].arn_suffix }
      statistic   = "Minimum", operator = "LessThanThreshold", threshold = 1
      silence     = "breaching", serious = true
    }
    errors = {
      description = "Twilio is answered with errors (5xx) by the balancer, for want of an edge."
      namespace   = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = aws_lb.edge.arn_suffix }
      statistic   = "Sum", operator = "GreaterThanThreshold", threshold = 0
      silence     = "notBreaching", serious = true
    }
  })
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
