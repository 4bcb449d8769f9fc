variable "name" {
  description = "What everything is called; one deployment of an account has one name. Load balancers allow it 16 characters."
  type        = string
  default     = "warmline"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,14}[a-z0-9]$", var.name))
    error_message = "The name must be 2 to 16 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "home_region" {
  description = "The AWS region of what exists once: the global dashboard."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.home_region))
    error_message = "The home region must be an AWS region, for example us-east-1."
  }
}

variable "domain" {
  description = "Below it are edge.<domain> for Twilio, and one name per edge and per region of agents."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain))
    error_message = "The domain must be a lower-case domain name without a trailing dot."
  }
}

variable "zone_id" {
  description = "Route 53 hosted zone that holds the domain."
  type        = string

  validation {
    condition     = can(regex("^Z[A-Z0-9]+$", var.zone_id))
    error_message = "The zone id begins with Z; `aws route53 list-hosted-zones` shows it."
  }
}

variable "image" {
  description = "The image of both services, by digest, so that a deployment and its rollback are what they say."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must end with its digest: repository@sha256:..."
  }
}

variable "cpu_architecture" {
  description = "What the image is built for: ARM64 or X86_64."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.cpu_architecture)
    error_message = "The CPU architecture must be ARM64 or X86_64."
  }
}

variable "voices" {
  description = "The text of the configuration file: [numbers], [profiles.*], and [edge] and [region_agent] if you like. Regions and edges are added to it."
  type        = string

  validation {
    condition     = can(regex("(?m)^\\[numbers\\]", var.voices))
    error_message = "The voices must have a table [numbers]: without it no call is answered."
  }
  validation {
    condition     = !can(regex("(?m)^\\s*\\[\\s*\"?(regions|edges)\"?\\s*[.\\]]", var.voices))
    error_message = "The voices must not have tables [regions.*] or [edges.*]; they are made from the variables of these names."
  }
  validation {
    # A task definition is at most 64 KB, as JSON.
    condition     = length(var.voices) <= 40000
    error_message = "The voices must be at most 40,000 characters: they travel in the task definition."
  }
}

variable "regions" {
  description = <<-EOT
    Where agents run, by AWS region.
    `cidr`: network of the VPC, /16 to /22; `az_count`: availability zones, 2 or 3.
    `realtime_url`: the model's endpoint, where it is not the voices' or the default one (residency).
    `max_calls`: calls at once per agent, never more; below, an agent learns what it carries.
    `autoscaling`: agents (`min`, `max`), mean calls per agent above which agents are added (`target_calls`), and for how long (s)
    the mean must be above it (`scale_up_window`) or below 0.6 of it (`scale_down_window`).
    `task`: CPU units and memory (MiB) of an agent. `redis`: the region's store.
  EOT
  type = map(object({
    cidr         = string
    az_count     = optional(number, 2)
    realtime_url = optional(string)
    max_calls    = optional(number, 300)
    autoscaling = optional(object({
      min               = optional(number, 2)
      max               = optional(number, 20)
      target_calls      = optional(number, 30)
      scale_up_window   = optional(number, 30)
      scale_down_window = optional(number, 300)
    }), {})
    task = optional(object({
      cpu    = optional(number, 1024)
      memory = optional(number, 2048)
    }), {})
    redis = optional(object({
      node_type = optional(string, "cache.t4g.small")
      replicas  = optional(number, 1)
    }), {})
  }))

  validation {
    condition     = length(var.regions) >= 2
    error_message = "At least two regions: one alone cannot stand in for another."
  }
  validation {
    condition     = alltrue([for key in keys(var.regions) : can(regex("^[a-z]{2}-[a-z]+-[0-9]$", key))])
    error_message = "The keys of regions must be AWS regions, for example eu-west-1."
  }
  validation {
    condition = alltrue([
      for region in values(var.regions) : can(cidrnetmask(region.cidr)) && can(regex("/(1[6-9]|2[0-2])$", region.cidr))
    ])
    error_message = "Every region's cidr must be an IPv4 network of /16 to /22, for example 10.0.0.0/20."
  }
  validation {
    condition     = alltrue([for region in values(var.regions) : contains([2, 3], region.az_count)])
    error_message = "Every region's az_count must be 2 or 3."
  }
  validation {
    condition = alltrue([
      for region in values(var.regions) : 1 <= region.autoscaling.min && region.autoscaling.min <= region.autoscaling.max
    ])
    error_message = "Every region's autoscaling needs 1 <= min <= max."
  }
  validation {
    condition = alltrue([
      for region in values(var.regions) : 1 <= region.autoscaling.target_calls && region.autoscaling.target_calls <= region.max_calls
    ])
    error_message = "Every region needs 1 <= autoscaling.target_calls <= max_calls: above the cap, no agent would ever be added."
  }
  validation {
    condition = alltrue([
      for region in values(var.regions) : region.autoscaling.scale_up_window >= 10 && region.autoscaling.scale_up_window % 10 == 0
    ])
    error_message = "Every region's scale_up_window must be a multiple of 10 s, the resolution of the metric."
  }
  validation {
    condition = alltrue([
      for region in values(var.regions) : region.autoscaling.scale_down_window >= 60 && region.autoscaling.scale_down_window % 60 == 0
    ])
    error_message = "Every region's scale_down_window must be a multiple of 60 s."
  }
  validation {
    condition     = alltrue([for region in values(var.regions) : try(startswith(region.realtime_url, "wss://"), region.realtime_url == null)])
    error_message = "Every region's realtime_url must be a wss:// URL."
  }
  validation {
    condition     = alltrue([for region in values(var.regions) : region.redis.replicas >= 1 && region.redis.replicas <= 5])
    error_message = "Every region's redis.replicas must be 1 to 5: without one there is nothing to fail over to."
  }
}

variable "edges" {
  description = <<-EOT
    Where Twilio reaches you, by AWS region; README.md says which are near Twilio's.
    `cidr`, `az_count`, `task`: as in `regions`. `edges`: how many edges there are, 1 to 9. An edge is one process with a name and a
    host name of its own, for what Twilio asks about a call it must ask where the call is; two are spare for each other.
    `agent_regions`: the regions whose agents they link to; empty: all.
  EOT
  type = map(object({
    cidr          = string
    az_count      = optional(number, 2)
    edges         = optional(number, 2)
    agent_regions = optional(set(string), [])
    task = optional(object({
      cpu    = optional(number, 1024)
      memory = optional(number, 2048)
    }), {})
  }))

  validation {
    condition     = length(var.edges) >= 1
    error_message = "At least one edge, or nobody could call."
  }
  validation {
    condition     = alltrue([for key in keys(var.edges) : can(regex("^[a-z]{2}-[a-z]+-[0-9]$", key))])
    error_message = "The keys of edges must be AWS regions, for example eu-west-1."
  }
  validation {
    condition = alltrue([
      for edge in values(var.edges) : can(cidrnetmask(edge.cidr)) && can(regex("/(1[6-9]|2[0-2])$", edge.cidr))
    ])
    error_message = "Every edge's cidr must be an IPv4 network of /16 to /22, for example 10.1.0.0/20."
  }
  validation {
    condition = length(distinct([
      for place in concat(values(var.regions)[*].cidr, values(var.edges)[*].cidr) : try(cidrsubnet(place, 0, 0), place)
    ])) == length(var.regions) + length(var.edges)
    error_message = "Every region and every edge needs a cidr of its own, or they could never be peered."
  }
  validation {
    condition     = alltrue([for edge in values(var.edges) : contains([2, 3], edge.az_count)])
    error_message = "Every edge's az_count must be 2 or 3."
  }
  validation {
    condition     = alltrue([for edge in values(var.edges) : contains(range(1, 10), edge.edges)])
    error_message = "Every place needs 1 to 9 edges."
  }
  validation {
    condition     = alltrue([for edge in values(var.edges) : length(setsubtract(edge.agent_regions, keys(var.regions))) == 0])
    error_message = "Every edge's agent_regions must be keys of regions."
  }
}

variable "agent_secrets" {
  description = "Further environment variables of agents, for example what $${BOOKING_TOKEN} in a tool's headers stands for; `put_secrets.py` takes their values from its own environment."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for key in var.agent_secrets : can(regex("^[A-Z][A-Z0-9_]*$", key))])
    error_message = "The agent_secrets must be names of environment variables."
  }
}

variable "recording_buckets" {
  description = "S3 buckets that profiles record to; agents may write to them, and read nothing."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for bucket in var.recording_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "The recording_buckets must be names of S3 buckets, without s3:// and path."
  }
}

variable "alarms" {
  description = <<-EOT
    Who is told (`emails`), and from when on: getting a warm session or a link takes longer than `acquire_p95_s`, the caller's first
    audio comes later than `first_audio_p95_s`, or the voice webhook's answer later than `webhook_p95_s` (seconds, 95th percentile).
  EOT
  type = object({
    emails            = optional(set(string), [])
    acquire_p95_s     = optional(number, 0.005)
    first_audio_p95_s = optional(number, 1)
    webhook_p95_s     = optional(number, 1)
  })
  default = {}

  validation {
    condition     = alltrue([for limit in [var.alarms.acquire_p95_s, var.alarms.first_audio_p95_s, var.alarms.webhook_p95_s] : limit > 0])
    error_message = "The limits of alarms must be above 0 s."
  }
  validation {
    condition     = alltrue([for email in var.alarms.emails : can(regex("^[^@ ]+@[^@ ]+$", email))])
    error_message = "The alarms' emails must be e-mail addresses."
  }
}

variable "accelerator" {
  description = "Put AWS Global Accelerator in front of the edges: another edge takes over without waiting for DNS, for a fixed price per month."
  type        = bool
  default     = false
}

variable "deletion_protection" {
  description = "Load balancers refuse to be deleted. Turn it off, and apply, before you destroy."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How long logs are kept."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096 or 1827 days."
  }
}

variable "collector_image" {
  description = "The ADOT collector beside every edge and agent, which passes traces on to X-Ray. Name it by digest in production."
  type        = string
  default     = "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3"

  validation {
    condition     = can(regex("(@sha256:[0-9a-f]{64}|:v?[0-9][0-9.]*)$", var.collector_image))
    error_message = "The collector's image must name a version or a digest, not latest."
  }
}
