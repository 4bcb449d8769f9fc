# What one entry of a map brings.
mock_provider "aws" {
  source = "./tests/mocks"
}

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

run "two_regions_and_an_edge" {
  command = plan

  assert {
    condition     = output.voice_webhook_url == "https://edge.voice.example.com/twilio/voice"
    error_message = "Twilio is led to the name that all edges share."
  }
  assert {
    condition     = output.agent_endpoints == { us-east-1 = "us-east-1.agents.voice.example.com:443", eu-west-1 = "eu-west-1.agents.voice.example.com:443" }
    error_message = "Every region of agents has a name of its own."
  }
  assert {
    condition     = output.voice_fallback_url == "https://us-east-1-2.edge.voice.example.com/twilio/voice"
    error_message = "What Twilio cannot ask there it asks an edge by its own name."
  }
  assert {
    condition     = keys(output.dashboards) == ["eu-west-1", "global", "us-east-1"]
    error_message = "Every AWS region in use has a dashboard, and one shows all."
  }
}

run "a_region_more_is_one_entry" {
  command = plan

  variables {
    regions = {
      us-east-1      = { cidr = "10.0.0.0/20" }
      eu-west-1      = { cidr = "10.0.16.0/20" }
      ap-southeast-2 = { cidr = "10.0.32.0/20" }
    }
  }

  assert {
    condition     = keys(output.agent_endpoints) == ["ap-southeast-2", "eu-west-1", "us-east-1"]
    error_message = "The new region has agents."
  }
  assert {
    condition     = contains(keys(output.dashboards), "ap-southeast-2")
    error_message = "The new region has a dashboard."
  }
  assert {
    condition     = keys(output.edge_hosts) == ["us-east-1-1", "us-east-1-2"]
    error_message = "No edge came with it."
  }
}
