resource "aws_globalaccelerator_accelerator" "this" {
  #checkov:skip=CKV_AWS_75:Every request is a log line of the edge it reaches
  name            = var.name
  ip_address_type = "IPV4"
  enabled         = true
}

resource "aws_globalaccelerator_listener" "https" {
  accelerator_arn = aws_globalaccelerator_accelerator.this.arn
  protocol        = "TCP"

  port_range {
    from_port = 443
    to_port   = 443
  }
}

# The health of a load balancer is that of its targets; what else is said here would be ignored.
resource "aws_globalaccelerator_endpoint_group" "edge" {
  for_each = var.edges

  listener_arn          = aws_globalaccelerator_listener.https.arn
  endpoint_group_region = each.key

  endpoint_configuration {
    endpoint_id                    = each.value
    weight                         = 128
    client_ip_preservation_enabled = true
  }
}
