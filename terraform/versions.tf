terraform {
  # 1.9: a variable's validation may look at other variables.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6: every resource has its own `region`, so one module can be repeated over a map of regions.
      version = ">= 6.28, < 7.0"
    }
  }
}
