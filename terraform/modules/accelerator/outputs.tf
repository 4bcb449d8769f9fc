output "balancer" {
  description = "The accelerator, for a DNS alias."
  value = {
    dns_name = aws_globalaccelerator_accelerator.this.dns_name
    zone_id  = aws_globalaccelerator_accelerator.this.hosted_zone_id
  }
}
