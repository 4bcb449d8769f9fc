terraform {
  # 1.10: the state is locked by a file beside it.
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.28, < 7.0"
    }
  }

  # The bucket is bootstrap's: terraform init -backend-config=bucket=...
  backend "s3" {
    key          = "dev.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region = "us-east-1"

  default_tags {
    tags = { Project = "warmline", Environment = "dev", ManagedBy = "terraform" }
  }
}
