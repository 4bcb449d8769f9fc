locals {
  # us-east-1 may have the alarms of DNS only.
  watched = length(concat(var.agent_widgets, var.edge_widgets)) > 0
}

module "key" {
  source = "../key"

  region      = var.region
  name        = "${var.name}-alarms"
  description = "Alarms of ${var.name}"
}

resource "aws_sns_topic" "alarms" {
  region            = var.region
  name              = "${var.name}-alarms"
  kms_master_key_id = module.key.arn
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "alarms" {
  statement {
    sid       = "Alarms"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alarms.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "alarms" {
  region = var.region
  arn    = aws_sns_topic.alarms.arn
  policy = data.aws_iam_policy_document.alarms.json
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.emails

  region    = var.region
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

# One light for the region: on while any serious alarm is.
resource "aws_cloudwatch_composite_alarm" "region" {
  count = local.watched ? 1 : 0

  region            = var.region
  alarm_name        = "${var.name}-serious"
  alarm_description = "Callers in ${var.region} are not answered, or soon will not be."
  alarm_rule        = join(" OR ", [for name in var.serious_alarms : "ALARM(\"${name}\")"])
  alarm_actions     = [aws_sns_topic.alarms.arn]
  ok_actions        = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_dashboard" "region" {
  count = local.watched ? 1 : 0

  region         = var.region
  dashboard_name = "${var.name}-${var.region}"
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in concat(var.edge_widgets, var.agent_widgets) : {
        type   = "metric"
        x      = index % 2 * 12
        y      = floor(index / 2) * 6
        width  = 12
        height = 6
        properties = {
          title   = widget.title
          region  = var.region
          view    = "timeSeries"
          period  = 60
          metrics = jsondecode(widget.metrics)
        }
      }
    ]
  })
}
