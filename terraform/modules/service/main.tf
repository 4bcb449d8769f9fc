locals {
  prefix    = upper(var.kind)
  directory = "/run/warmline"
  spool     = "/var/lib/warmline"
  owner     = "10001"

  # What every task is told beside what its caller says.
  environment = merge({
    admin_host           = "0.0.0.0"
    admin_port           = tostring(var.health_port)
    cloudwatch_namespace = "Warmline"
    # Fargate kills a task 120 s after SIGTERM, whatever it is told.
    drain_timeout_s = "110"
    pki_dir         = "${local.directory}/pki"
  }, var.environment)

  secret_names = setunion(["${local.prefix}_ADMIN_TOKEN"], var.secret_names)
  link_secrets = ["LINK_CA", "LINK_CERTIFICATE", "LINK_KEY"]

  logging = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.this.name
      "awslogs-region"        = var.region
      "awslogs-stream-prefix" = var.name
      # Calls go on when CloudWatch does not take logs; the oldest lines are lost instead.
      "mode"            = "non-blocking"
      "max-buffer-size" = "8m"
    }
  }

  unpack = {
    name       = "unpack"
    image      = var.image
    essential  = false
    user       = "0"
    entryPoint = ["python"]
    command    = ["-c", file("${path.module}/unpack.py")]
    environment = [
      for name, value in merge({
        ADDRESS_URL      = "https://checkip.amazonaws.com"
        LINK_NAME        = var.certificate
        UNPACK_DIRECTORY = local.directory
        UNPACK_OWNER     = local.owner
        UNPACK_VOLUMES   = "${local.spool}:/tmp"
        WARMLINE_CONFIG  = var.config
      }, var.advertise_port == null ? {} : { ADVERTISE_PORT = tostring(var.advertise_port) }) :
      { name = name, value = value }
    ]
    secrets = [
      for name in local.link_secrets : { name = name, valueFrom = "${aws_secretsmanager_secret.this.arn}:${name}::" }
    ]
    mountPoints = [
      { sourceVolume = "run", containerPath = local.directory, readOnly = false },
      { sourceVolume = "spool", containerPath = local.spool, readOnly = false },
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
    ]
    readonlyRootFilesystem = true
    logConfiguration       = local.logging
    portMappings           = []
    systemControls         = []
    volumesFrom            = []
  }

  service = {
    name       = "service"
    image      = var.image
    essential  = true
    user       = "${local.owner}:${local.owner}"
    entryPoint = ["python"]
    command    = ["-m", var.kind, "--config", "${local.directory}/warmline.toml"]
    dependsOn  = [{ containerName = "unpack", condition = "SUCCESS" }]
    environment = concat(
      [for name, value in local.environment : { name = "${local.prefix}_${upper(name)}", value = value }],
      [{ name = "OTEL_EXPORTER_OTLP_ENDPOINT", value = "http://127.0.0.1:4318" }],
    )
    secrets = [
      for name in sort(local.secret_names) : { name = name, valueFrom = "${aws_secretsmanager_secret.this.arn}:${name}::" }
    ]
    portMappings = [
      for port in var.ports : { containerPort = port.port, hostPort = port.port, protocol = port.protocol }
    ]
    mountPoints = [
      { sourceVolume = "run", containerPath = local.directory, readOnly = true },
      { sourceVolume = "spool", containerPath = local.spool, readOnly = false },
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
    ]
    healthCheck = {
      command = [
        "CMD", "python", "-c",
        "from urllib.request import urlopen; urlopen('http://127.0.0.1:${var.health_port}/livez', timeout=3)",
      ]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }
    # Nobody needs to be root to listen on port 443.
    systemControls         = [{ namespace = "net.ipv4.ip_unprivileged_port_start", value = "443" }]
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    ulimits                = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
    stopTimeout            = 120
    logConfiguration       = local.logging
    volumesFrom            = []
  }
}

resource "aws_cloudwatch_log_group" "this" {
  region            = var.region
  name              = "/${var.name}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

# Only the container of the secret: its value is put by put_secrets.py and never passes through Terraform.
resource "aws_secretsmanager_secret" "this" {
  #checkov:skip=CKV2_AWS_57:The values are issued by others (Twilio, OpenAI, the operator's own CA), which no rotation function can do
  region                  = var.region
  name                    = var.name
  description             = "Keys, tokens and the link certificate of ${var.name}, as one JSON object."
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
}

resource "aws_ecs_cluster" "this" {
  region = var.region
  name   = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  region                   = var.region
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task.cpu
  memory                   = var.task.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode([local.unpack, local.service, local.collector])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  dynamic "volume" {
    for_each = ["run", "spool", "tmp"]
    content {
      name = volume.value
    }
  }
}

resource "aws_ecs_service" "this" {
  #checkov:skip=CKV_AWS_333:Tasks have public addresses instead of a NAT gateway; their security groups decide who may reach them
  region          = var.region
  name            = var.name
  cluster         = aws_ecs_cluster.this.arn
  task_definition = aws_ecs_task_definition.this.arn
  desired_count   = var.desired_count
  launch_type     = "FARGATE"

  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 120
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  # Balance between zones is not worth the calls of a task that is moved for it.
  availability_zone_rebalancing = "DISABLED"
  # The first tasks start when put_secrets.py was run, which needs this to be over.
  wait_for_steady_state = false

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = true
  }

  dynamic "load_balancer" {
    for_each = var.target_groups
    content {
      target_group_arn = load_balancer.value.arn
      container_name   = local.service.name
      container_port   = load_balancer.value.port
    }
  }

  lifecycle {
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}
