# Edges have changing public addresses, and are known by their certificates.
locals {
  link_protocols = toset(["tcp", "udp"])
}

resource "aws_security_group" "balancer" {
  #checkov:skip=CKV2_AWS_5:It is attached, but checkov does not follow it through the module
  region      = var.region
  name        = "${local.name}-balancer"
  description = "Load balancer of the agents"
  vpc_id      = module.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "balancer_links" {
  for_each = local.link_protocols

  region            = var.region
  security_group_id = aws_security_group.balancer.id
  description       = "Links of edges, which show a certificate"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = each.key
  from_port         = var.link_port
  to_port           = var.link_port
}

resource "aws_vpc_security_group_egress_rule" "balancer_links" {
  for_each = local.link_protocols

  region                       = var.region
  security_group_id            = aws_security_group.balancer.id
  description                  = "To agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = each.key
  from_port                    = var.link_port
  to_port                      = var.link_port
}

resource "aws_vpc_security_group_egress_rule" "balancer_health" {
  region                       = var.region
  security_group_id            = aws_security_group.balancer.id
  description                  = "Health checks"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = local.health_port
  to_port                      = local.health_port
}

resource "aws_security_group" "agent" {
  #checkov:skip=CKV2_AWS_5:It is attached, but checkov does not follow it through the module
  region      = var.region
  name        = local.name
  description = "Agents"
  vpc_id      = module.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "agent_links" {
  for_each = local.link_protocols

  region            = var.region
  security_group_id = aws_security_group.agent.id
  description       = "Links of edges, which dial agents directly and show a certificate"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = each.key
  from_port         = var.link_port
  to_port           = var.link_port
}

resource "aws_vpc_security_group_ingress_rule" "agent_health" {
  region                       = var.region
  security_group_id            = aws_security_group.agent.id
  description                  = "Health checks"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = local.health_port
  to_port                      = local.health_port
}

resource "aws_vpc_security_group_egress_rule" "agent_out" {
  region            = var.region
  security_group_id = aws_security_group.agent.id
  description       = "The model, tools, AWS, and answers to edges: anywhere"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_security_group" "redis" {
  #checkov:skip=CKV2_AWS_5:It is attached, but checkov does not follow it through the module
  region      = var.region
  name        = "${local.name}-redis"
  description = "The region's store"
  vpc_id      = module.network.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  region                       = var.region
  security_group_id            = aws_security_group.redis.id
  description                  = "Agents"
  referenced_security_group_id = aws_security_group.agent.id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}
