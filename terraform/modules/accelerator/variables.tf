variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "edges" {
  description = "ARN of every edge's load balancer, by AWS region."
  type        = map(string)
}
