variable "domain" {
  description = "Domain below which the edges are."
  type        = string
}

variable "zone_id" {
  description = "Route 53 hosted zone of the domain."
  type        = string
}

variable "image" {
  description = "The image of both services, by digest."
  type        = string
}
