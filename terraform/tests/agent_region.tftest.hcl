# How agents are scaled, protected and alarmed about.
mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  region              = "eu-west-1"
  name                = "warmline"
  image               = "registry.example.com/warmline@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  config              = ""
  link_port           = 443
  secret_names        = []
  recording_buckets   = []
  alarm_topic_arn     = "arn:aws:sns:eu-west-1:123456789012:warmline-alarms"
  alarms              = { acquire_p95_s = 0.005, first_audio_p95_s = 1 }
  collector_image     = "collector:v1"
  cpu_architecture    = "ARM64"
  deletion_protection = true
  log_retention_days  = 365
  settings = {
    cidr        = "10.0.0.0/20"
    az_count    = 2
    max_calls   = 50
    autoscaling = { min = 2, max = 20, target_calls = 30, scale_up_window = 30, scale_down_window = 300 }
    task        = { cpu = 1024, memory = 2048 }
    redis       = { node_type = "cache.t4g.small", replicas = 1 }
  }
}

run "agents" {
  command = plan

  module {
    source = "./modules/agent_region"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.calls_high.period == 10
      && aws_cloudwatch_metric_alarm.calls_high.evaluation_periods == 3
      && aws_cloudwatch_metric_alarm.calls_high.threshold == 30
    )
    error_message = "More than 30 calls per agent for 30 s, looked at every 10 s, adds agents."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.calls_low.period * aws_cloudwatch_metric_alarm.calls_low.evaluation_periods == 300
      && aws_cloudwatch_metric_alarm.calls_low.threshold == 18
    )
    error_message = "Fewer than 18 calls per agent for 300 s takes one away."
  }
  assert {
    condition     = [for step in aws_appautoscaling_policy.up.step_scaling_policy_configuration[0].step_adjustment : step.scaling_adjustment] == [34, 67, 100]
    error_message = "The further above the target, the more agents are added."
  }
  assert {
    condition     = aws_appautoscaling_policy.cpu.target_tracking_scaling_policy_configuration[0].disable_scale_in
    error_message = "A quiet CPU is no reason to take an agent away."
  }
  assert {
    condition     = aws_appautoscaling_target.this.min_capacity == 2 && aws_appautoscaling_target.this.max_capacity == 20
    error_message = "Two agents at least, twenty at most."
  }
  assert {
    condition     = aws_lb_listener.links.protocol == "TCP_UDP" && aws_lb_listener.links.port == 443
    error_message = "QUIC, HTTP/2 and WebSocket share one port."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["acquire-slow"].threshold == 0.005 && aws_cloudwatch_metric_alarm.this["acquire-slow"].extended_statistic == "p95"
    error_message = "Somebody is told when getting a session takes more than 5 ms."
  }
}

run "a_service_of_another_kind" {
  command = plan

  module {
    source = "./modules/service"
  }

  variables {
    kind              = "console"
    environment       = {}
    certificate       = "console"
    ports             = []
    health_port       = 9090
    task              = { cpu = 256, memory = 512 }
    desired_count     = 1
    subnet_ids        = []
    security_group_id = "sg-1"
    target_groups     = []
    kms_key_arn       = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  expect_failures = [var.kind]
}
