variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "zone_id" {
  description = "Hosted zone of the names."
  type        = string
}

variable "edge_host" {
  description = "The name that all edges share."
  type        = string
}

variable "edge_hosts" {
  description = "AWS region of every edge, by its host name."
  type        = map(string)
}

variable "edges" {
  description = "Name and load balancer of the edges of every AWS region."
  type = map(object({
    host     = string
    balancer = object({ dns_name = string, zone_id = string })
  }))
}

variable "agents" {
  description = "Name and load balancer of every region of agents."
  type = map(object({
    host     = string
    balancer = object({ dns_name = string, zone_id = string })
  }))
}

variable "accelerated" {
  description = "Whether the shared name leads to the accelerator."
  type        = bool
}

variable "accelerator" {
  description = "The accelerator, if there is one."
  type        = object({ dns_name = string, zone_id = string })
  default     = null
}

variable "alarm_topic_arn" {
  description = "SNS topic of us-east-1, where Route 53 puts its metrics."
  type        = string
}
