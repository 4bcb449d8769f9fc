# Two regions of agents, two edges. A region more is one entry more.
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
    tags = { Project = "warmline", Environment = "example", ManagedBy = "terraform" }
  }
}

variable "image" {
  description = "The image of both services, by digest."
  type        = string
}

module "warmline" {
  source = "../.."

  domain  = "voice.example.com"
  zone_id = "Z0123456789EXAMPLE"
  image   = var.image
  voices  = file("${path.module}/voices.toml")

  regions = {
    us-east-1 = { cidr = "10.0.0.0/20" }
    eu-west-1 = { cidr = "10.0.16.0/20" }
  }

  edges = {
    us-east-1 = { cidr = "10.1.0.0/20" }
    eu-west-1 = { cidr = "10.1.16.0/20" }
  }
}

output "voice_webhook_url" {
  description = "Set the numbers' voice webhook to this."
  value       = module.warmline.voice_webhook_url
}

output "config" {
  description = "For `warmline pki` and `warmline doctor`."
  value       = module.warmline.config
}

output "deployment" {
  description = "For put_secrets.py."
  value       = module.warmline.deployment
}
