locals {
  name  = "${var.name}-edge"
  ports = { http = 8080, media = 8081, admin = 8082 }

  # By path: Twilio's webhooks, its Media Streams, and the health that DNS looks at. Anything else is answered here.
  rules = {
    http  = { paths = ["/twilio/*"], priority = 20, drain_s = 30 }
    media = { paths = ["/twilio/media/*"], priority = 10, drain_s = 3600 }
    admin = { paths = ["/readyz"], priority = 30, drain_s = 30 }
  }
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
  source = "../service"

  region = var.region
  name   = local.name
  kind   = "edge"
  image  = var.image
  config = var.config
  environment = {
    name       = var.region
    http_port  = tostring(local.ports.http)
    media_port = tostring(local.ports.media)
  }
  secret_names      = ["TWILIO_AUTH_TOKEN"]
  certificate       = "edge-${var.region}"
  ports             = [for port in values(local.ports) : { port = port, protocol = "tcp" }]
  health_port       = local.ports.admin
  task              = var.settings.task
  desired_count     = var.settings.autoscaling.min
  cpu_architecture  = var.cpu_architecture
  subnet_ids        = module.network.public_subnet_ids
  security_group_id = aws_security_group.edge.id
  # Taken from the rules: a target group takes targets only once a listener leads to it. (A `depends_on` would have every
  # edge's policies read anew whenever one is added.)
  target_groups = [for key, port in local.ports : { arn = aws_lb_listener_rule.this[key].action[0].target_group_arn, port = port }]
  kms_key_arn   = module.key.arn

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
  #checkov:skip=CKV_AWS_378:TLS ends at the balancer; between it and the tasks is the VPC's own network, and Twilio's signature covers the requests
  for_each = local.ports

  region               = var.region
  name                 = "${local.name}-${each.key}"
  port                 = each.value
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = module.network.vpc_id
  deregistration_delay = local.rules[each.key].drain_s

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
    path_pattern {
      values = each.value.paths
    }
  }
}

# A certificate serves its own AWS region only, so every edge has one for the shared name too.
resource "aws_acm_certificate" "edge" {
  region                    = var.region
  domain_name               = var.hosts[0]
  subject_alternative_names = slice(var.hosts, 1, length(var.hosts))
  validation_method         = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

# The record that proves a name is the same for every certificate of an account. So one edge has that of the shared name,
# and the record does not go when another edge does.
resource "aws_route53_record" "validation" {
  for_each = toset(var.proven_hosts)

  zone_id         = var.zone_id
  name            = one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_name if option.domain_name == each.key])
  type            = one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_type if option.domain_name == each.key])
  records         = [one([for option in aws_acm_certificate.edge.domain_validation_options : option.resource_record_value if option.domain_name == each.key])]
  ttl             = 60
  allow_overwrite = true
}

# It waits until the certificate is issued, for a name that another edge proves as well.
resource "aws_acm_certificate_validation" "edge" {
  region          = var.region
  certificate_arn = aws_acm_certificate.edge.arn

  depends_on = [aws_route53_record.validation]
}
