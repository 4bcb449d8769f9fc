locals {
  name  = "${var.name}-edge"
  ports = { http = 8080, media = 8081, admin = 8082 }

  # warmline-edge-1 and so on: what the parts of each edge are called in this region.
  parts = { for edge in keys(var.hosts) : edge => "${local.name}-${trimprefix(edge, "${var.region}-")}" }

  # An edge has the webhooks and Media Streams of its own calls; webhooks of new calls, and the question whether anybody here
  # is ready, go to any of them.
  own_groups = merge([
    for edge in keys(var.hosts) : {
      "${edge}-http"  = { edge = edge, port = local.ports.http, name = "${local.parts[edge]}-http", drain_s = 30 }
      "${edge}-media" = { edge = edge, port = local.ports.media, name = "${local.parts[edge]}-media", drain_s = 3600 }
    }
  ]...)
  shared_groups = {
    calls = { port = local.ports.http, name = "${local.name}-calls", drain_s = 30 }
    ready = { port = local.ports.admin, name = "${local.name}-ready", drain_s = 30 }
  }
  groups = merge(local.own_groups, local.shared_groups)

  # The first that fits counts. Anything else is answered by the balancer.
  rules = { for index, rule in concat(
    [
      { group = "calls", host = var.shared_host, paths = ["/twilio/voice", "/twilio/status"] },
      { group = "ready", host = var.region_host, paths = ["/readyz"] },
    ],
    flatten([
      for edge, host in var.hosts : [
        { group = "${edge}-media", host = host, paths = ["/twilio/media/*"] },
        { group = "${edge}-http", host = host, paths = ["/twilio/*"] },
      ]
    ]),
  ) : rule.group => merge(rule, { priority = 10 + index }) }
}

module "key" {
  source = "../key"

  region      = var.region
  name        = local.name
  description = "Secrets and logs of ${local.name}"
}

module "network" {
  source = "../network"

  region             = var.region
  name               = local.name
  cidr               = var.settings.cidr
  az_count           = var.settings.az_count
  private_subnets    = false
  kms_key_arn        = module.key.arn
  log_retention_days = var.log_retention_days
}

module "service" {
  source   = "../service"
  for_each = var.hosts

  region = var.region
  name   = local.parts[each.key]
  kind   = "edge"
  image  = var.image
  config = var.config
  environment = {
    name       = each.key
    http_port  = tostring(local.ports.http)
    media_port = tostring(local.ports.media)
    shared_url = "https://${var.shared_host}"
    # The balancer and Route 53 look every 10 s: no call is sent here any more when calls begin to be refused.
    drain_notice_s = "20"
  }
  secret_names      = ["TWILIO_AUTH_TOKEN"]
  certificate       = "edge-${each.key}"
  ports             = [for port in values(local.ports) : { port = port, protocol = "tcp" }]
  health_port       = local.ports.admin
  task              = var.settings.task
  desired_count     = 1
  cpu_architecture  = var.cpu_architecture
  subnet_ids        = module.network.public_subnet_ids
  security_group_id = aws_security_group.edge.id
  # Taken from the rules: a target group takes targets only once a listener leads to it. (A `depends_on` would have every
  # edge's policies read anew whenever one is added.)
  target_groups = [
    for key, group in local.groups : { arn = aws_lb_listener_rule.this[key].action[0].target_group_arn, port = group.port }
    if contains(keys(local.shared_groups), key) || try(group.edge, "") == each.key
  ]
  kms_key_arn        = module.key.arn
  collector_image    = var.collector_image
  log_retention_days = var.log_retention_days
}

resource "aws_lb" "edge" {
  #checkov:skip=CKV_AWS_150:It is a variable, true unless somebody wants to destroy
  #checkov:skip=CKV_AWS_91:Every request is a log line of the edge; access logs would keep callers' addresses besides
  #checkov:skip=CKV2_AWS_28:Twilio signs its requests, and comes from few addresses: a rate limit per address would turn calls away
  region                     = var.region
  name                       = local.name
  load_balancer_type         = "application"
  subnets                    = module.network.public_subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  # A Media Stream lasts as long as its call. Twilio sends 50 frames a second, but a path may be silent for a while.
  idle_timeout = 4000
}

resource "aws_lb_target_group" "this" {
  for_each = local.groups
  #checkov:skip=CKV_AWS_378:TLS ends at the balancer; between it and the tasks is the VPC's own network, and Twilio's signature covers the requests

  region               = var.region
  name                 = each.value.name
  port                 = each.value.port
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = module.network.vpc_id
  deregistration_delay = each.value.drain_s
  # While an edge is replaced there are two of it for a moment. The old one knows the calls, so the new one gets its share slowly.
  slow_start = contains(keys(local.own_groups), each.key) ? 900 : 0

  health_check {
    port     = local.ports.admin
    protocol = "HTTP"
    # Whether it lives, not whether a region is ready for it: an edge without regions still has to tell the caller.
    path                = "/livez"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "https" {
  region            = var.region
  load_balancer_arn = aws_lb.edge.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.edge.certificate_arn

  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "this" {
  for_each = local.rules

  region       = var.region
  listener_arn = aws_lb_listener.https.arn
  priority     = each.value.priority

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this[each.key].arn
  }

  condition {
    host_header {
      values = [each.value.host]
    }
  }

  condition {
    path_pattern {
      values = each.value.paths
    }
  }
}

# A certificate serves its own AWS region only, so every region has one for the same names.
resource "aws_acm_certificate" "edge" {
  region                    = var.region
  domain_name               = var.shared_host
  subject_alternative_names = ["*.${var.shared_host}"]
  validation_method         = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

# One record proves both names, to all certificates of an account: it is put into DNS once, and does not go with another region.
resource "aws_route53_record" "proof" {
  count = var.proves_shared_host ? 1 : 0

  zone_id         = var.zone_id
  name            = one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_name if option.domain_name == var.shared_host])
  type            = one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_type if option.domain_name == var.shared_host])
  records         = [one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_value if option.domain_name == var.shared_host])]
  ttl             = 60
  allow_overwrite = true
}

# It waits until the certificate is issued, wherever its proof is put.
resource "aws_acm_certificate_validation" "edge" {
  region          = var.region
  certificate_arn = aws_acm_certificate.edge.arn

  depends_on = [aws_route53_record.proof]
}
