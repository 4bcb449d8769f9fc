variable "region" {
  description = "AWS region."
  type        = string
}

variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "emails" {
  description = "Who is told of alarms."
  type        = set(string)
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
