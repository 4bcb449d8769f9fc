variable "region" {
  description = "AWS region of the network."
  type        = string
}

variable "name" {
  description = "What the network and its parts are called."
  type        = string
}

variable "cidr" {
  description = "IPv4 network of the VPC; subnets are its sixteenths."
  type        = string
}

variable "az_count" {
  description = "Availability zones to use."
  type        = number
}

variable "private_subnets" {
  description = "Whether there are subnets without a way out as well, for a store."
  type        = bool
}

variable "kms_key_arn" {
  description = "Encrypts the flow logs."
  type        = string
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
}
