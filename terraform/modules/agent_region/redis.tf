# The registry of the region's agents, and what they keep for each other. No call waits for it.
resource "aws_elasticache_subnet_group" "this" {
  region     = var.region
  name       = local.name
  subnet_ids = module.network.private_subnet_ids
}

resource "aws_elasticache_replication_group" "this" {
  #checkov:skip=CKV_AWS_31:The token is set by put_secrets.py, so that it is in no state; access needs the agents' security group besides
  region                     = var.region
  replication_group_id       = local.name
  description                = "Store of ${local.name}"
  engine                     = "valkey"
  engine_version             = "8.0"
  node_type                  = var.settings.redis.node_type
  num_cache_clusters         = 1 + var.settings.redis.replicas
  automatic_failover_enabled = true
  multi_az_enabled           = true
  port                       = 6379
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.redis.id]
  at_rest_encryption_enabled = true
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  kms_key_id                 = module.key.arn
  auto_minor_version_upgrade = true
  maintenance_window         = "sun:03:00-sun:04:00"
  # All of it is written anew within seconds; there is nothing to restore.
  snapshot_retention_limit = 0
  apply_immediately        = true

  lifecycle {
    # put_secrets.py sets it.
    ignore_changes = [auth_token, auth_token_update_strategy]
  }
}
