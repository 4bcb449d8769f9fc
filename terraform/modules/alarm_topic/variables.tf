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
