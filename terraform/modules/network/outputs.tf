output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "public_subnet_ids" {
  description = "Subnets with a way to the internet, one per availability zone."
  # A task that starts before its subnet has a route cannot pull its image.
  depends_on = [aws_route.internet, aws_route_table_association.public]
  value      = aws_subnet.public[*].id
}

output "private_subnet_ids" {
  description = "Subnets without one; empty unless asked for."
  value       = aws_subnet.private[*].id
}
