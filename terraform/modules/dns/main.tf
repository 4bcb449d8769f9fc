# Asked every 10 s from all over the world: can a caller who comes to this region's edges be answered by a warm session?
resource "aws_route53_health_check" "edge" {
  for_each = var.edges

  fqdn              = each.value.host
  type              = "HTTPS"
  port              = 443
  resource_path     = "/readyz"
  request_interval  = 10
  failure_threshold = 2
  enable_sni        = true
  measure_latency   = true
  tags              = { Name = "${var.name}-edge-${each.key}" }
}

# Twilio's requests go to the nearest edge that can answer them: with the health checks, another after 20 s and the record's 60 s.
resource "aws_route53_record" "nearest" {
  #checkov:skip=CKV2_AWS_23:It leads to a load balancer or the accelerator, but checkov does not follow it through the module
  for_each = var.edges

  zone_id         = var.zone_id
  name            = var.edge_host
  type            = "A"
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.edge[each.key].id

  latency_routing_policy {
    region = each.key
  }

  # The same records with an accelerator, which they all lead to then: to have one is a change of them, not of their kind.
  alias {
    name                   = var.accelerated ? var.accelerator.dns_name : each.value.balancer.dns_name
    zone_id                = var.accelerated ? var.accelerator.zone_id : each.value.balancer.zone_id
    evaluate_target_health = true
  }
}

# A name per edge, per region of edges and per region of agents: where it leads is not for DNS to choose.
resource "aws_route53_record" "place" {
  #checkov:skip=CKV2_AWS_23:It leads to a load balancer or the accelerator, but checkov does not follow it through the module
  for_each = merge(
    { for key, edge in var.edges : "edge-${key}" => edge },
    { for key, agent in var.agents : "agents-${key}" => agent },
    { for host, key in var.edge_hosts : host => { host = host, balancer = var.edges[key].balancer } },
  )

  zone_id = var.zone_id
  name    = each.value.host
  type    = "A"

  alias {
    name                   = each.value.balancer.dns_name
    zone_id                = each.value.balancer.zone_id
    evaluate_target_health = false
  }
}

resource "aws_cloudwatch_metric_alarm" "edge" {
  for_each = var.edges

  region              = "us-east-1"
  alarm_name          = "${var.name}-dns-${each.key}"
  alarm_description   = "Route 53 sends callers past the edges in ${each.key}: they cannot answer with a warm session."
  namespace           = "AWS/Route53"
  metric_name         = "HealthCheckStatus"
  dimensions          = { HealthCheckId = aws_route53_health_check.edge[each.key].id }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 2
  treat_missing_data  = "breaching"
  alarm_actions       = [var.alarm_topic_arn]
  ok_actions          = [var.alarm_topic_arn]
}
