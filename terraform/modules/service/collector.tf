# The ADOT collector takes traces on loopback and passes them on to X-Ray. It is not essential: when it dies, calls go on untraced.
locals {
  collector_config = {
    extensions = { health_check = { endpoint = "127.0.0.1:13133" } }
    receivers  = { otlp = { protocols = { http = { endpoint = "127.0.0.1:4318" } } } }
    processors = {
      memory_limiter = { check_interval = "1s", limit_mib = 100 }
      batch          = { timeout = "5s", send_batch_size = 50 }
      resourcedetection = {
        detectors = ["env", "ecs"]
        timeout   = "2s"
      }
    }
    exporters = { awsxray = { region = var.region, indexed_attributes = ["call_sid"] } }
    service = {
      extensions = ["health_check"]
      pipelines = {
        traces = {
          receivers  = ["otlp"]
          processors = ["memory_limiter", "resourcedetection", "batch"]
          exporters  = ["awsxray"]
        }
      }
    }
  }

  collector = {
    name        = "collector"
    image       = var.collector_image
    essential   = false
    cpu         = 64
    memory      = 192
    environment = [{ name = "AOT_CONFIG_CONTENT", value = yamlencode(local.collector_config) }]
    healthCheck = {
      command     = ["CMD", "/healthcheck"]
      interval    = 30
      timeout     = 5
      retries     = 3
      startPeriod = 30
    }
    readonlyRootFilesystem = true
    logConfiguration       = local.logging
    mountPoints            = []
    portMappings           = []
    systemControls         = []
    volumesFrom            = []
  }
}
