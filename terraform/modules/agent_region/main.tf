locals {
  name        = "${var.name}-agent"
  health_port = 9090
}

module "key" {
  source = "../key"

  region      = var.region
  name        = local.name
  description = "Secrets, logs and the store of ${local.name}"
}

module "network" {
  source = "../network"

  region             = var.region
  name               = local.name
  cidr               = var.settings.cidr
  az_count           = var.settings.az_count
  private_subnets    = true
  kms_key_arn        = module.key.arn
  log_retention_days = var.log_retention_days
}

module "service" {
  source = "../service"

  region = var.region
  name   = local.name
  kind   = "region_agent"
  image  = var.image
  config = var.config
  environment = merge({
    region          = var.region
    listen_port     = tostring(var.link_port)
    target_calls    = tostring(var.settings.autoscaling.target_calls)
    max_calls       = tostring(var.settings.max_calls)
    recording_spool = "/var/lib/warmline/recordings"
  }, var.settings.realtime_url == null ? {} : { realtime_url = var.settings.realtime_url })
  secret_names = setunion(["OPENAI_API_KEY", "REDIS_URL"], var.secret_names)
  certificate  = "region-agent-${var.region}"
  # Links lead to one agent each. Behind the load balancer edges meet some agents only; these name all others to them,
  # and every agent is dialled at its own address.
  advertise_port = var.link_port
  ports = [
    { port = var.link_port, protocol = "tcp" },
    { port = var.link_port, protocol = "udp" },
  ]
  health_port       = local.health_port
  task              = var.settings.task
  desired_count     = var.settings.autoscaling.min
  cpu_architecture  = var.cpu_architecture
  subnet_ids        = module.network.public_subnet_ids
  security_group_id = aws_security_group.agent.id
  # Taken from the listener: a target group takes targets only once a listener leads to it. (A `depends_on` would have every
  # region's policies read anew whenever one is added.)
  target_groups   = [{ arn = aws_lb_listener.links.default_action[0].target_group_arn, port = var.link_port }]
  kms_key_arn     = module.key.arn
  task_statements = data.aws_iam_policy_document.recordings[*].json

  collector_image    = var.collector_image
  log_retention_days = var.log_retention_days
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "recordings" {
  count = length(var.recording_buckets) > 0 ? 1 : 0

  statement {
    sid     = "UploadRecordings"
    actions = ["s3:PutObject", "s3:AbortMultipartUpload"]
    resources = [
      for bucket in sort(var.recording_buckets) : "arn:${data.aws_partition.current.partition}:s3:::${bucket}/*"
    ]
  }
}

resource "aws_lb" "links" {
  #checkov:skip=CKV_AWS_91:Access logs of a network balancer tell of TLS that ends in it, and here it ends in the agents
  #checkov:skip=CKV_AWS_150:It is a variable, true unless somebody wants to destroy
  region                           = var.region
  name                             = local.name
  load_balancer_type               = "network"
  subnets                          = module.network.public_subnet_ids
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true
  enable_deletion_protection       = var.deletion_protection
}

# QUIC on UDP, HTTP/2 and WebSocket on TCP; TLS ends in the agent, which wants the edge's certificate.
resource "aws_lb_target_group" "links" {
  region               = var.region
  name                 = local.name
  port                 = var.link_port
  protocol             = "TCP_UDP"
  target_type          = "ip"
  vpc_id               = module.network.vpc_id
  deregistration_delay = 300
  # An agent sees the edge's address: its limits of handshakes are per host.
  preserve_client_ip = true

  health_check {
    protocol = "HTTP"
    port     = local.health_port
    # Whether it lives, not whether it has stock: ECS replaces what is unhealthy, and that opens no session sooner.
    path                = "/livez"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "links" {
  region            = var.region
  load_balancer_arn = aws_lb.links.arn
  port              = var.link_port
  protocol          = "TCP_UDP"

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.links.arn
  }
}
