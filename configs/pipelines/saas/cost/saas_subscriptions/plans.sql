SELECT * EXCEPT (ingestion_date, ingestion_timestamp, pipeline_logging_id, x_tenant, x_pipeline, x_credential, x_run_date)
FROM raw_saas.subscription_plans
WHERE ingestion_date = @run_date
