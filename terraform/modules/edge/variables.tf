variable "region" {
  description = "AWS region."
  type        = string
}

variable "name" {
  description = "Name of the deployment."
  type        = string
}

variable "image" {
  description = "Image of both services."
  type        = string
}

variable "settings" {
  description = "This region's entry in `edges`."
  type = object({
    cidr     = string
    az_count = number
    task     = object({ cpu = number, memory = number })
  })
}

variable "config" {
  description = "Text of the configuration file."
  type        = string
}

variable "shared_host" {
  description = "The name that all edges of all regions share, for webhooks of new calls. Every other name is one label below it."
  type        = string
}

variable "proves_shared_host" {
  description = "Whether the proof for the certificate is put into DNS here."
  type        = bool
}

variable "region_host" {
  description = "The name of this region, for health checks."
  type        = string
}

variable "hosts" {
  description = "Host names of the edges here, by their names."
  type        = map(string)
}

variable "zone_id" {
  description = "Hosted zone of the names."
  type        = string
}

variable "alarm_topic_arn" {
  description = "SNS topic of this AWS region for alarms."
  type        = string
}

variable "alarms" {
  description = "From when on somebody is told (s)."
  type        = object({ acquire_p95_s = number, first_audio_p95_s = number, webhook_p95_s = number })
}

variable "collector_image" {
  description = "Image of the ADOT collector."
  type        = string
}

variable "cpu_architecture" {
  description = "ARM64 or X86_64."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted."
  type        = bool
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}
