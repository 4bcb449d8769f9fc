variable "region" {
  description = "AWS region."
  type        = string
}

variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "topic_arn" {
  description = "SNS topic of this AWS region for alarms."
  type        = string
}

variable "agent_widgets" {
  description = "Graphs of the agents here; metrics are JSON."
  type        = list(object({ title = string, metrics = string }))
}

variable "edge_widgets" {
  description = "Graphs of the edges here; metrics are JSON."
  type        = list(object({ title = string, metrics = string }))
}

variable "serious_alarms" {
  description = "Names of the alarms for which somebody should get up."
  type        = list(string)
}
