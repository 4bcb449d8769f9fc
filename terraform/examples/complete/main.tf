# Three regions of agents, three edges, and every feature used once.
terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7.0"
    }
  }
}

provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = { Project = "voices", Environment = "example", ManagedBy = "terraform" }
  }
}

variable "image" {
  description = "The image of both services, by digest."
  type        = string
}

variable "deletion_protection" {
  description = "Whether load balancers refuse to be deleted."
  type        = bool
  default     = true
}

module "warmline" {
  source = "../.."

  name                = "voices"
  home_region         = "eu-west-1"
  domain              = "voice.example.com"
  zone_id             = "Z0123456789EXAMPLE"
  image               = var.image
  cpu_architecture    = "X86_64"
  voices              = file("${path.module}/voices.toml")
  agent_secrets       = ["BOOKING_TOKEN"]
  recording_buckets   = ["example-recordings"]
  accelerator         = true
  deletion_protection = var.deletion_protection
  log_retention_days  = 400

  alarms = {
    emails            = ["on-call@example.com"]
    acquire_p95_s     = 0.005
    first_audio_p95_s = 0.8
  }

  regions = {
    us-east-1 = {
      cidr        = "10.0.0.0/20"
      az_count    = 3
      autoscaling = { min = 3, max = 40 }
      task        = { cpu = 2048, memory = 4096 }
    }
    eu-west-1 = {
      cidr         = "10.0.16.0/20"
      realtime_url = "wss://eu.api.openai.com/v1/realtime" # speech of European callers stays in Europe
      autoscaling  = { target_calls = 20, scale_up_window = 20, scale_down_window = 600 }
      redis        = { node_type = "cache.r7g.large", replicas = 2 }
    }
    ap-southeast-2 = {
      cidr      = "10.0.32.0/20"
      max_calls = 40
    }
  }

  edges = {
    us-east-1 = { cidr = "10.1.0.0/20", az_count = 3, edges = 3 }
    # These link to European agents only.
    eu-west-1      = { cidr = "10.1.16.0/20", agent_regions = ["eu-west-1"] }
    ap-southeast-2 = { cidr = "10.1.32.0/20", edges = 1, task = { cpu = 2048, memory = 4096 } }
  }
}

output "config" {
  description = "For `warmline pki` and `warmline doctor`."
  value       = module.warmline.config
}

output "deployment" {
  description = "For put_secrets.py."
  value       = module.warmline.deployment
}

output "urls" {
  description = "Where Twilio is led, and where edges look for agents."
  value = {
    voice    = module.warmline.voice_webhook_url
    fallback = module.warmline.voice_fallback_url
    status   = module.warmline.status_callback_url
    edges    = module.warmline.edge_hosts
    agents   = module.warmline.agent_endpoints
  }
}
