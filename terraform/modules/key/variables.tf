variable "region" {
  description = "AWS region of the key."
  type        = string
}

variable "name" {
  description = "What uses it; the alias, and the prefix of the log groups that it encrypts."
  type        = string
}

variable "description" {
  description = "What it encrypts."
  type        = string
}
