variable "region" {
  description = "AWS region, and the name of the region in Warmline."
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
  description = "This region's entry in `regions`."
  type = object({
    cidr         = string
    az_count     = number
    realtime_url = optional(string)
    max_calls    = number
    autoscaling = object({
      min               = number
      max               = number
      target_calls      = number
      scale_up_window   = number
      scale_down_window = number
    })
    task  = object({ cpu = number, memory = number })
    redis = object({ node_type = string, replicas = number })
  })
}

variable "config" {
  description = "Text of the configuration file."
  type        = string
}

variable "link_port" {
  description = "Port, TCP and UDP, at which edges reach agents."
  type        = number
}

variable "secret_names" {
  description = "Further environment variables that come from the agents' secret."
  type        = set(string)
}

variable "recording_buckets" {
  description = "S3 buckets that profiles record to."
  type        = set(string)
}

variable "alarm_topic_arn" {
  description = "SNS topic of this AWS region for alarms."
  type        = string
}

variable "alarms" {
  description = "From when on somebody is told (s)."
  type        = object({ acquire_p95_s = number, first_audio_p95_s = number })
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
