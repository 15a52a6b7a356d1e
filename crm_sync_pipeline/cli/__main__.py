from crm_sync_pipeline.cli import main

main()
