# Every validation refuses what it is there for, one at a time. The module has the variables and nothing else, to be quick.
variables {
  domain  = "voice.example.com"
  zone_id = "Z0123456789EXAMPLE"
  image   = "registry.example.com/warmline@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  voices  = "[numbers]\n\"*\" = \"front-desk\"\n[profiles.front-desk]\ninstructions = \"Be brief.\"\n"
  regions = {
    us-east-1 = { cidr = "10.0.0.0/20" }
    eu-west-1 = { cidr = "10.0.16.0/20" }
  }
  edges = {
    us-east-1 = { cidr = "10.1.0.0/20" }
  }
}

run "what_the_others_change_is_accepted" {
  command = plan

  module {
    source = "./tests/variables"
  }
}

run "a_name_too_long_for_load_balancers" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    name = "warmline-of-example-com"
  }

  expect_failures = [var.name]
}

run "a_home_region_that_is_none" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    home_region = "Virginia"
  }

  expect_failures = [var.home_region]
}

run "a_domain_with_a_trailing_dot" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    domain = "voice.example.com."
  }

  expect_failures = [var.domain]
}

run "a_zone_id_that_is_a_name" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    zone_id = "example.com"
  }

  expect_failures = [var.zone_id]
}

run "an_image_by_tag" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    image = "registry.example.com/warmline:latest"
  }

  expect_failures = [var.image]
}

run "a_cpu_that_fargate_has_not" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    cpu_architecture = "RISCV"
  }

  expect_failures = [var.cpu_architecture]
}

run "voices_without_numbers" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    voices = "[profiles.front-desk]"
  }

  expect_failures = [var.voices]
}

run "voices_with_regions_of_their_own" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    voices = "[numbers]\n[regions.us-east-1]\nagents = []"
  }

  expect_failures = [var.voices]
}

run "voices_with_edges_of_their_own" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    voices = "[numbers]\n [ \"edges\".us-east-1 ]"
  }

  expect_failures = [var.voices]
}

run "voices_too_long_for_a_task" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    voices = format("[numbers]\n%040000d", 0)
  }

  expect_failures = [var.voices]
}

run "one_region" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = { us-east-1 = { cidr = "10.0.0.0/20" } }
  }

  expect_failures = [var.regions]
}

run "a_region_that_aws_has_not" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20" }
      europe    = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_a_network_too_small" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/24" }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_a_network_that_is_none" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.300/20" }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_in_one_zone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", az_count = 1 }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_min_above_max" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", autoscaling = { min = 5, max = 4 } }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_no_agents" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", autoscaling = { min = 0 } }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_whose_target_is_never_reached" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", autoscaling = { target_calls = 301 } }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_an_odd_scale_up_window" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", autoscaling = { scale_up_window = 25 } }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_an_odd_scale_down_window" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", autoscaling = { scale_down_window = 90 } }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_with_a_plain_endpoint" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", realtime_url = "https://eu.api.openai.com/v1/realtime" }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "a_region_without_a_second_store" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    regions = {
      us-east-1 = { cidr = "10.0.0.0/20", redis = { replicas = 0 } }
      eu-west-1 = { cidr = "10.0.16.0/20" }
    }
  }

  expect_failures = [var.regions]
}

run "no_edge" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = {}
  }

  expect_failures = [var.edges]
}

run "an_edge_that_aws_has_not" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = { ashburn = { cidr = "10.1.0.0/20" } }
  }

  expect_failures = [var.edges]
}

run "an_edge_with_a_network_too_large" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = { us-east-1 = { cidr = "10.0.0.0/8" } }
  }

  expect_failures = [var.edges]
}

run "an_edge_in_the_network_of_a_region" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = { us-east-1 = { cidr = "10.0.16.0/20" } }
  }

  expect_failures = [var.edges]
}

run "an_edge_in_four_zones" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = { us-east-1 = { cidr = "10.1.0.0/20", az_count = 4 } }
  }

  expect_failures = [var.edges]
}

run "a_place_without_edges" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = { us-east-1 = { cidr = "10.1.0.0/20", edges = 0 } }
  }

  expect_failures = [var.edges]
}

run "an_edge_that_links_to_no_region" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    edges = { us-east-1 = { cidr = "10.1.0.0/20", agent_regions = ["eu-north-1"] } }
  }

  expect_failures = [var.edges]
}

run "a_secret_that_is_no_variable" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    agent_secrets = ["booking-token"]
  }

  expect_failures = [var.agent_secrets]
}

run "a_bucket_with_a_path" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    recording_buckets = ["s3://calls/front-desk"]
  }

  expect_failures = [var.recording_buckets]
}

run "a_limit_of_nothing" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alarms = { acquire_p95_s = 0 }
  }

  expect_failures = [var.alarms]
}

run "an_email_that_is_none" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    alarms = { emails = ["on call"] }
  }

  expect_failures = [var.alarms]
}

run "a_retention_that_cloudwatch_has_not" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    log_retention_days = 100
  }

  expect_failures = [var.log_retention_days]
}

run "a_collector_by_the_latest_tag" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    collector_image = "public.ecr.aws/aws-observability/aws-otel-collector:latest"
  }

  expect_failures = [var.collector_image]
}
