# Agents near the model and near callers; edges where Twilio processes calls (US1, IE1, AU1).
module "warmline" {
  source = "../.."

  domain  = var.domain
  zone_id = var.zone_id
  image   = var.image
  voices  = file("${path.module}/voices.toml")

  regions = {
    us-east-1      = { cidr = "10.0.0.0/20" }
    eu-west-1      = { cidr = "10.0.16.0/20" }
    ap-southeast-2 = { cidr = "10.0.32.0/20" }
  }

  edges = {
    us-east-1      = { cidr = "10.1.0.0/20" }
    eu-west-1      = { cidr = "10.1.16.0/20" }
    ap-southeast-2 = { cidr = "10.1.32.0/20" }
  }
}
