resource "aws_security_group" "balancer" {
  #checkov:skip=CKV2_AWS_5:It is attached, but checkov does not follow it through the module
  region      = var.region
  name        = "${local.name}-balancer"
  description = "Load balancer of the edge"
  vpc_id      = module.network.vpc_id
}

# Media Streams come from any public address, so the signature decides who may speak.
resource "aws_vpc_security_group_ingress_rule" "balancer_https" {
  region            = var.region
  security_group_id = aws_security_group.balancer.id
  description       = "Twilio"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "balancer_edge" {
  for_each = local.ports

  region                       = var.region
  security_group_id            = aws_security_group.balancer.id
  description                  = "To edges: ${each.key}"
  referenced_security_group_id = aws_security_group.edge.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_security_group" "edge" {
  #checkov:skip=CKV2_AWS_5:It is attached, but checkov does not follow it through the module
  region      = var.region
  name        = local.name
  description = "Edges"
  vpc_id      = module.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "edge" {
  for_each = local.ports

  region                       = var.region
  security_group_id            = aws_security_group.edge.id
  description                  = "From the load balancer: ${each.key}"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_egress_rule" "edge_out" {
  region            = var.region
  security_group_id = aws_security_group.edge.id
  description       = "Agents of every region, and AWS: anywhere"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
