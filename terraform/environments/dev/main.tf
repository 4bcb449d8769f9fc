# As small as two regions get: for trying a change, not for callers.
module "warmline" {
  source = "../.."

  name                = "warmline-dev"
  domain              = var.domain
  zone_id             = var.zone_id
  image               = var.image
  voices              = file("${path.module}/voices.toml")
  deletion_protection = false

  regions = {
    us-east-1 = {
      cidr        = "10.64.0.0/20"
      autoscaling = { min = 1, max = 3 }
      redis       = { node_type = "cache.t4g.micro" }
    }
    eu-west-1 = {
      cidr        = "10.64.16.0/20"
      autoscaling = { min = 1, max = 3 }
      redis       = { node_type = "cache.t4g.micro" }
    }
  }

  edges = {
    us-east-1 = { cidr = "10.65.0.0/20", edges = 1 }
  }
}
