variable "region" {
  description = "AWS region of the service."
  type        = string
}

variable "name" {
  description = "What the service is called, for example warmline-edge."
  type        = string
}

variable "kind" {
  description = "Python package of the service: edge or region_agent. It is also the prefix of its environment variables."
  type        = string

  validation {
    condition     = contains(["edge", "region_agent"], var.kind)
    error_message = "The kind must be edge or region_agent."
  }
}

variable "image" {
  description = "Image of the service."
  type        = string
}

variable "config" {
  description = "Text of the configuration file."
  type        = string
}

variable "environment" {
  description = "Settings of the service, in lower case and without the prefix of its environment variables, as they stand in its settings.py."
  type        = map(string)
}

variable "secret_names" {
  description = "Environment variables that come from the service's secret."
  type        = set(string)
}

variable "certificate" {
  description = "Name of the link certificate's files, without .pem."
  type        = string
}

variable "advertise_port" {
  description = "Port at which edges are told to dial each task directly, by its public address; null: none."
  type        = number
  default     = null
}

variable "ports" {
  description = "Ports that the container listens on."
  type        = list(object({ port = number, protocol = string }))
}

variable "health_port" {
  description = "Port of the admin listener, where /livez is."
  type        = number
}

variable "task" {
  description = "CPU units and memory (MiB) of a task."
  type        = object({ cpu = number, memory = number })
}

variable "desired_count" {
  description = "Tasks to begin with; autoscaling decides from then on."
  type        = number
}

variable "cpu_architecture" {
  description = "ARM64 or X86_64."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets of the tasks, with a way to the internet."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the tasks."
  type        = string
}

variable "target_groups" {
  description = "Where tasks are registered, by container port."
  type        = list(object({ arn = string, port = number }))
}

variable "kms_key_arn" {
  description = "Encrypts the secret and the logs."
  type        = string
}

variable "task_statements" {
  description = "Further policies of the task role, as JSON."
  type        = list(string)
  default     = []
}

variable "collector_image" {
  description = "Image of the ADOT collector."
  type        = string
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
}
